"""Reading data sets, caching pictures, drawing training views."""
