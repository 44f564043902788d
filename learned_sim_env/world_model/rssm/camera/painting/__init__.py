"""Pictures painted from a state: geometry of cameras, what their rays meet, keyframes, and networks that colour it."""
