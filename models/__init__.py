"""What a compressed recommender is: its spec, inputs, features, hash schemes and architectures; the torch modules in nn."""
