"""What `compare_web` measures with: dumps, a server in a process of its own, and a browser."""
