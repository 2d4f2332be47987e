"""The bucket, or a folder in its place: which key a file has, and how it gets there."""
