"""Public detection sets in their native formats, brought into one class-agnostic COCO set."""
