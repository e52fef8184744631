"""Random networks for property tests (hypothesis strategies)."""

from hypothesis import strategies as st

from nin_lib.spec import Block, Dropout, Network, Pool


@st.composite
def pools(draw):
    kernel_size = draw(st.integers(1, 4))
    return Pool(
        kernel_size,
        stride=draw(st.integers(1, 3)),
        padding=draw(st.integers(0, kernel_size // 2)),
        ceil_mode=draw(st.booleans()),
    )


blocks = st.builds(
    Block,
    kernel_size=st.integers(1, 5),
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    inner_kernel_size=st.sampled_from((1, 1, 3)),
)
dropouts = st.builds(Dropout, st.sampled_from((0.0, 0.5)))
sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))


@st.composite
def networks(draw):
    stages = draw(st.lists(blocks | pools() | dropouts, max_size=4))
    dense = draw(st.sampled_from(((), (), (3,), (4, 2))))
    if not dense:
        stages.append(draw(blocks))
    return Network(
        tuple(stages),
        in_channels=draw(st.integers(1, 3)),
        input_size=draw(st.integers(1, 24)),
        dense=dense,
        last_relu=draw(st.booleans()),
    )
