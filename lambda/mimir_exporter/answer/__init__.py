"""An answer on its way from the socket to gzip: split by cluster, in bounded memory."""
