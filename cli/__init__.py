"""The command under the name that the hosting-capacity plan gives it; the work is in `hc_platform.cli`."""
