"""What fp16 and int8 save, and what they cost in quality."""
