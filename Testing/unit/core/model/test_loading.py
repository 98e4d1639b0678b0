"""What diffusers loads and nothing uses is not loaded; what takes seconds to load is not searched for garbage."""

import gc
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from GBMResponseCore.model import loading as module
from GBMResponseCore.model.environment import search_path
from GBMResponseCore.model.loading import loading, of_diffusers

LEAN = """
import sys, torch
from GBMResponseCore.model.loading import of_diffusers
names = ("torch._dynamo", "scipy.stats", "scipy.integrate")
exempt, before = torch.compiler.disable, [name in sys.modules for name in names]
print(of_diffusers("UNet2DModel").__name__, [name in sys.modules for name in names] == before)
print(torch.compiler.disable is exempt)
print(torch.compile(lambda values: values + 1, backend="eager")(torch.ones(1)).item())
euler = sys.modules["diffusers"].EulerDiscreteScheduler(use_beta_sigmas=True)
euler.set_timesteps(4)
several = sys.modules["diffusers"].LMSDiscreteScheduler()
several.set_timesteps(4)
print(len(euler.sigmas), several.get_lms_coefficient(1, 1, 0) != 0)
"""


def test_what_diffusers_loads_and_nothing_uses_is_not_loaded_and_works_afterwards(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", search_path())
    done = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["UNet2DModel True", "True", "2.0", "5 True"], done.stderr


def test_a_diffusers_that_insists_on_torch_s_compiler_gets_it(monkeypatch):
    seen = []

    def load(name):
        if name == "torch":
            return torch
        seen.append("torch._dynamo" in sys.modules and sys.modules["torch._dynamo"] is None)
        if seen[-1]:
            raise RuntimeError("import of torch._dynamo halted")
        return module

    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    monkeypatch.setattr(module, "importlib", SimpleNamespace(import_module=load))
    assert of_diffusers("loading") is loading
    assert seen == [True, False]


def test_no_garbage_is_looked_for_while_packages_load_and_afterwards_it_is():
    assert gc.isenabled()
    with pytest.raises(ImportError), loading():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled(), "who has switched it off keeps it off"
    finally:
        gc.enable()
