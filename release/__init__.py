"""What is made from the code: pages, and the packages of a release."""
