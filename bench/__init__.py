"""Side by side with other engines: the same folder, the same pictures, the same machine."""
