"""The sub-commands of `hc` for charge control, a module each."""
