"""What single studies, and sets of them, do to a result: influence, leave-one-out, cumulative, subsets, BLUPs."""
