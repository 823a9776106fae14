"""What a compressed recommender is: spec, inputs, features, hash schemes and architectures; torch modules in nn."""
