"""Boxes from views."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.rendering.boxes import paint_boxes
from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.rssm.agents.detector import LAGS, OUTPUTS, SIZE_SCALE, Detector, detection_loss

BEV = BevSpec()


def test_outputs_that_say_where_an_agent_is_give_its_box_back():
    detector = Detector(BEV, 0.1)
    pose, motion, size = torch.tensor([[[10.3, -4.1, 0.7]]]), torch.tensor([[[6.0, 0.1]]]), torch.tensor([[[5.2, 2.1]]])
    outputs = torch.full((1, OUTPUTS, 32, 32), -9.0)
    cell = ((detector.centres("cpu")[0, 0] - pose[0, 0, :2]) / detector.cell).round().long()
    offset = (pose[0, 0, :2] - detector.centres("cpu")[cell[0], cell[1]]) / detector.cell
    assert offset.abs().max() <= 0.5
    said = [9.0, *offset, np.cos(0.7), np.sin(0.7), 0.6, 0.5, np.log(5.2 / SIZE_SCALE[0]), np.log(2.1 / SIZE_SCALE[1])]
    outputs[0, :, cell[0], cell[1]] = torch.tensor(said)
    nothing = torch.zeros(1, 64, 64, dtype=torch.uint8)
    found = detector.boxes(outputs, nothing, nothing[:, None].expand(-1, 4, -1, -1), torch.zeros(1, 4, 3), slots=4)
    assert found["agent_class"][0].tolist() == [SemanticClass.VEHICLE, 0, 0, 0]
    assert torch.allclose(found["agent_pose"][0, 0], pose[0, 0], atol=1e-4)
    assert torch.allclose(found["agent_motion"][0, 0, :2], motion[0, 0], atol=1e-4)
    assert torch.allclose(found["agent_size"][0, 0], size[0, 0], atol=1e-4)
    right = detection_loss(detector, outputs, pose, motion, size, torch.ones(1, 1, dtype=torch.bool))
    wrong = detection_loss(detector, outputs, pose + 3.0, motion, size, torch.ones(1, 1, dtype=torch.bool))
    assert right < 0.01 < wrong


def test_earlier_views_are_moved_into_the_present_one():
    detector = Detector(BEV, 0.1)
    pose = np.array([[12.0, 3.0, 0.4]], np.float32)

    def view(box):
        image = np.zeros((1, 64, 64), np.uint8)
        paint_boxes(image, np.zeros(1, int), box, np.array([[9.0, 6.0]]), np.array([SemanticClass.VEHICLE]), BEV)
        return torch.from_numpy(image)

    # The ego has since gone 3 m ahead and turned left by 0.2.
    ego = torch.tensor([[-3.0, 0.0, 0.0]])
    turn = torch.tensor([[-3.0 * np.cos(0.2), 3.0 * np.sin(0.2), -0.2]], dtype=torch.float32)
    straight = detector._moved(view(pose), ego)
    assert torch.equal(straight.round().bool(), view(pose - [3.0, 0.0, 0.0]) == SemanticClass.VEHICLE)
    c, s = np.cos(-0.2), np.sin(-0.2)
    x, y = pose[0, 0] - 3.0, pose[0, 1]
    turned = view(np.array([[c * x - s * y, s * x + c * y, pose[0, 2] - 0.2]]))
    moved = detector._moved(view(pose), turn) > 0.5
    agree = (moved & (turned == SemanticClass.VEHICLE)).sum() / (moved | (turned == SemanticClass.VEHICLE)).sum()
    assert agree > 0.8
    assert len(LAGS) == detector.stem.in_channels - 6


def test_earlier_views_are_moved_by_fractions_of_a_pixel():
    image = np.zeros((1, 64, 64), np.uint8)
    image[:, 20:28, 30:34] = SemanticClass.VEHICLE
    # A quarter of a pixel ahead: what was at row 20 is a quarter of a pixel nearer.
    moved = Detector(BEV, 0.1)._moved(torch.from_numpy(image), torch.tensor([[-0.25 * BEV.metres_per_pixel, 0.0, 0.0]]))
    assert moved[0, 18:22, 31].tolist() == pytest.approx([0.0, 0.0, 0.75, 1.0], abs=1e-4)
    assert moved[0, 26:30, 31].tolist() == pytest.approx([1.0, 1.0, 0.25, 0.0], abs=1e-4)
