"""What is wrong with a user's data, said before a training is spent on it."""
