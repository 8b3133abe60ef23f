"""The recorded cost of generated C, and its tables."""

import c_records
from c_records import ArtifactCost, CInstructions, LibrarySize, MicrocontrollerCost, NetworkCost

FLOAT32 = "model.float32.tflite"


def make_record() -> CInstructions:
    costs = {(c_records.C, 50): 20, (c_records.INT8, 100): 40, (FLOAT32, 80): 60}
    artifacts = tuple(
        ArtifactCost(machine, file, instructions, cycles if machine == "pi4" else None)
        for machine in c_records.MACHINES
        for (file, instructions), cycles in costs.items()
    )
    libraries = tuple(LibrarySize(machine, 4321) for machine in c_records.MACHINES)
    microcontrollers = (MicrocontrollerCost("cortex-m4", 12345, 1000, 8, 120),)
    return CInstructions({"qemu": "7"}, (NetworkCost("small", 6789, 500, artifacts, libraries, microcontrollers),))


def test_instructions_are_compared_with_int8_and_the_best_artifact() -> None:
    lines = c_records.instructions_table(make_record()).splitlines()
    assert lines[2] == "| small | Pi 3 (Cortex-A53) | 50 | 100 | 0.50 | 80 | 0.62 |"
    assert lines[-1] == "Counted with qemu 7."


def test_cycles_are_of_the_machines_with_an_estimate() -> None:
    _, _, *rows = c_records.cycles_table(make_record()).splitlines()
    assert rows == ["| small | Pi 4 (Cortex-A72) | 20 | 40 | 0.50 | 60 |"]


def test_ram_is_the_sum_of_variables_stack_and_arena() -> None:
    _, _, *rows = c_records.microcontrollers_table(make_record()).splitlines()
    assert rows == ["| small | Cortex-M4 | 12,345 | 1,000 | 628 | 500 | 120 |"]


def test_sizes_have_a_column_for_each_machine() -> None:
    row = c_records.sizes_table(make_record()).splitlines()[2]
    assert row == "| small | 6,789 | 4,321 | 4,321 | 4,321 | 4,321 | 500 |"


def test_record_is_complete() -> None:
    record = c_records.load()
    assert [network.network for network in record.networks][:2] == ["cnn", "edge"]
    assert len(record.networks) == 5
    for network in record.networks:
        assert {cost.machine for cost in network.artifacts} == set(c_records.MACHINES)
        assert {cost.processor for cost in network.microcontrollers} == set(c_records.MICROCONTROLLERS)
    assert {"qemu", "ai-edge-litert", "aarch64-linux-gnu-gcc", "llvm"} <= set(record.versions)
