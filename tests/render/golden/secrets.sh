export service_token='s3cret'
