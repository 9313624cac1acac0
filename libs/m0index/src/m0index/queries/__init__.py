"""What is read of the index for the public: one statement each, through a pool for reading."""
