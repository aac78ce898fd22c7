"""The way of a picture: decode, detect, choose candidates, embed, cut out."""
