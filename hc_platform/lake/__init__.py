"""Delta tables (local or S3), and the DuckDB warehouse published from them."""
