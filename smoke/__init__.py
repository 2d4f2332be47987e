"""`make smoke`: a whole life of the stack in a real AWS account, from deployment to removal."""
