"""What is trained of the RSSM and how: its losses, and what is fine-tuned by itself in the end."""
