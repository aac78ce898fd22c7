"""Generated messages and stubs of the contract `picoseek.v1` and of the log format `picoseek.log.v1`."""
