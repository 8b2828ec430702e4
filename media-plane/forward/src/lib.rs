//! One packet, one subscriber: drop or rewrite.
