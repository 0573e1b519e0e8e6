"""Raw features -> sections -> feeder records -> summaries; pure functions over Polars frames."""
