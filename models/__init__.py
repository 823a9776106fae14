"""What a compressed recommender is: its spec, its hash maps, its shared memory and the DLRM around it."""
