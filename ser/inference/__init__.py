"""Load an exported model and predict files, folders and streams, without TensorFlow."""
