"""The input forms in front of services: read from XML, filled in, and flattened into the variables a template sees."""
