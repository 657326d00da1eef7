"""The console: the service in a browser. Every page asks the API that everyone has, and shows what it answered."""
