"""One moment of driving as a picture, and the window it is shown in; knows nothing of environments."""
