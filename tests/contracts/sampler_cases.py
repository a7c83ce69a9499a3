"""How the contract suite builds a sampler from labels, where its constructor takes something else."""

BUILDERS = {}  # class name -> function(labels, *, batch_size, seed, num_replicas, rank, drop_last, **more)
