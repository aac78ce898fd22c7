"""Training of recognition models from labels, as PP-ShiTu's were trained, with or without a teacher."""
