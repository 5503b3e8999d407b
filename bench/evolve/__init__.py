"""Parts of the cases that measure growing: pictures, nets, arms, training at equal FLOPs, statistics."""
