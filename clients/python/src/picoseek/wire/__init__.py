"""Messages of the contract made from this package's values, and the other way round."""
