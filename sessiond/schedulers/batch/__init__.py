"""What the dialects of batch schedulers share."""
