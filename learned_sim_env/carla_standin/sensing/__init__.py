"""What sensors of the stand-in send."""
