"""The deployment settings: their names, and how they are read from the CDK context."""
