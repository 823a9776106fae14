"""The torch modules: what is trained and exported. Nothing that serves imports them."""
