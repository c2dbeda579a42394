"""Teaching the stereo network: made-up worlds in, weights and a measured card out."""
