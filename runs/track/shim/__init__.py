"""Put first on the path of a tracked script: holds modules that stand in for others, no more."""
