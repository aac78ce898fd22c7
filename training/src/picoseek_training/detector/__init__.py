"""The detector's recipe: start from official weights, train, measure, export."""
