"""Bags of ROS 1 and ROS 2, and MCAP: messages, cameras, other road users, and usual set-ups."""
