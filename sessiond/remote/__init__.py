"""Running commands and opening streams where sessions live."""
