"""What a run writes into its log, shown elsewhere while it is written."""
