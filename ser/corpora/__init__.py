"""One module per published corpus: file names, labels, speakers, licence, checksums and folds."""
