"""`facsimile`: a client of the API, and the way to start the service on this machine."""
