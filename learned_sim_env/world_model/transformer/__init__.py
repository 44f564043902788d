"""A Dreamer-4-style world model: a causal tokenizer, and a transformer that denoises the next frame's tokens."""
