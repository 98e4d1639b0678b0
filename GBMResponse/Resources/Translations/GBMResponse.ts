<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1">
<context>
    <name>GBMResponse</name>
    <message>
        <source>GBMResponse needs 3D Slicer {needed} or newer; this is {present}. Please update 3D Slicer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>GBM Response</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predicts how the T1-Gd MRI of an adult with glioblastoma may look after radiotherapy, from the MRI before radiotherapy and the gross tumor volume (GTV), with a latent diffusion model. The predicted images are synthetic. Research use only: not a medical device.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The method follows Leclercq et al., Pre to Post-Treatment Glioblastoma MRI Prediction using a Latent Diffusion Model, DGM4MICCAI 2025, doi:10.1007/978-3-032-05472-2_18. The sample case comes from the Brain-Tumor-Progression collection of The Cancer Imaging Archive (Schmainda and Prah, 2018, doi:10.7937/K9/TCIA.2018.15quzvnb, CC BY 3.0), modified.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The scene was closed, which ended the prediction.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&lt;b&gt;Research use only.&lt;/b&gt; Predicted images are &lt;b&gt;synthetic&lt;/b&gt;: they show what a model imagines, not what will happen. Not for clinical decisions.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predict</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Inputs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Before treatment (T1-Gd):</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Contrast-enhanced T1 MRI after surgery and before radiotherapy.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>vtkMRMLScalarVolumeNode</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Se&amp;gmentation:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Segmentation that holds the outline of the tumor.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>vtkMRMLSegmentationNode</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Tumor (GTV):</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Segment that outlines the gross tumor volume (GTV).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>True &amp;follow-up (optional):</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The real MRI after treatment, to be shown beside the prediction. It plays no part in the prediction.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show a copy of the follow-up that is aligned with the volume before treatment (rigid: rotation and shift only). The follow-up itself is not changed. Measurements always use the aligned copy.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show it aligned (rigid)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Model:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Model bundle that predicts.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add a model folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add a model from a folder that contains bundle.json.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Offer the model of this folder no more; its files stay where they are.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Forget</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training data, survival classes, held-out figures, license.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>About this model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Compare every file of the model with its SHA-256.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Verify files</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Survival class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Class:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Take the class that the classifier predicts, choose one, or predict all classes with the same noise to compare them.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scheme:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How survival is divided into classes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predict for:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Survival class to predict for.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Probability of each class by the model's classifier, for the last prediction.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Options</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Samples:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Single possibilities beside the expected image. Two or more add spread and probability of enhancement; 0 leaves the expected image alone, without volumes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Steps:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Network evaluations per slice: more is slower and closer to the exact solution. Automatic is what the preset or the model says.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Guidance:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How strongly the survival class acts: 0 not at all, 1 as trained, above 1 exaggerated. Automatic is what the model recommends.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Seed:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The same seed gives the same prediction again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose another seed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>New</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Compute on:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Automatic takes a graphics card if there is one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Slices at once:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Fewer need less memory. Automatic looks at the free memory.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open the inputs, the model and the survival class again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Change inputs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Make:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The expected image comes first, within seconds. Samples are single possibilities: spread, volumes and probabilities come from them. The paper drew one sample by DDIM with 200 steps, which takes long. Options changes the details.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predict the MRI after treatment.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How much of the prediction is done.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Progress of the prediction</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Slices that are finished.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy versions, graphics card, memory, disk, settings and log for a bug report. No patient data.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy diagnostics</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Bring back the run that was deleted last.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Restore the deleted run</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Results</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Run:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predictions in this scene, the newest first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show the prediction beside the image before treatment. Press again to return to your layout.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Side by side</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Name:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A name of yours for this run; it is saved with the scene.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Name of this run</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Remove all images of this run from the scene. Restore brings them back until the scene is closed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Compare &amp;with:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show another run (B) below this one (A), and what differs between them.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What differs between the two runs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Settings and measurements that differ between the two runs.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Expected: the average of what the model thinks possible; it fades what is uncertain. Sample: one possibility.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Before</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Fade from before to predicted</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Fade between the image before treatment and the prediction.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predicted</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give all images of the comparison the contrast with which it began. All of them have one contrast: what you set in one view goes to all; the scales of overlays are fixed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reset contrast</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sample</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Browse through the samples, single possibilities. Where classes are compared, 0 is the expected image.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show predicted minus before: red brighter, blue darker.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Difference</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show how much the samples differ. Needs more than one sample.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Spread</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show the probability of enhancement over the samples. Needs more than one sample.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Enhancement</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Switch between before and predicted.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Blink</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Center the views on the tumor.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Go to tumor</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What if</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>short</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Between the shortest and the longest survival</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Between a patient of the shortest and one of the longest survival: the expected image of the slice in view is computed again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>long</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Day since radiotherapy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Days since radiotherapy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Days from the start of radiotherapy to the image.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predict the whole volume for these conditions, as a run of its own.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Apply to volume</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Remove the preview.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close preview</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Measurements</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Measured on the synthetic image; research use only.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Score against a real follow-up</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Real follow-up:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The T1-Gd volume after treatment that this run is scored against; it may have come long after the prediction.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Case:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What the log calls this case. Leave it empty for a pseudonym.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pseudonym</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Log:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The file in which your department collects scores; it is made with the first one. Remembered on this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add scores to no log any more. The file stays where it is.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No log</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open the page of the log in the web browser: how often intervals held, calibration of categories, skill.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open log</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Score this run against the real follow-up.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Score</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scores against the real follow-up</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How close the synthetic images came to the real follow-up, beside a copy of the input and a blurred copy. Skill: 1 - error / error of the better copy; below 0 the copy is better.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open the report of this run in the web browser.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open report</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy volumes, measurements, report and record of this run to a folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Save...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Log</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What the prediction process says.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy versions, settings and this log to the clipboard, for a bug report. Contains no patient data.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reader study</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Judge how real single slices look, without knowing which ones are generated. As in the paper: 0 is certainly artificial, 10 is certainly real.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Study</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Images:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Judge the runs of this scene with their real images, or the cases of a table.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Table:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>CSV with the columns patient, source, image and slices.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Slices:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>One random tumor slice per patient and source, as in the paper, or all tumor slices.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reader:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Written beside every score; initials are enough.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The same seed gives the same order again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scores file:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>CSV file for the scores. An existing file of the same study is continued.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show the first slice that has no score yet.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start or continue</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How many slices are judged.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Progress of the study</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>%v of %m</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How real does this slice look?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Certainly artificial. Key 0.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>0</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Key 1.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Key 2.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>2</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Key 3.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>3</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Key 4.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>4</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Key 5.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>5</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Key 6.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>6</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Key 7.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>7</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Key 8.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>8</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Key 9.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>9</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Certainly real. Key T.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>10</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>0 artificial</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>10 real</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Comment</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Optional; written with the score.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Comment (press C to write, Enter to leave)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Go to the slice before (left arrow).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Go to the next slice without changing its score (right arrow).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Next</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop here; the scores are saved and the study can be continued.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Keys: 0 to 9 score, T scores 10, left and right arrows move.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Summary</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Summary of the scores</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scores per source; filled when all slices are judged, so that nothing is given away before.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Batch</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predict all cases of a table, in a process of its own: Slicer stays usable, and a batch that was stopped goes on where it was. Survival classes and follow-ups are those of the table.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cases</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cases:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Table of cases: a CSV with the columns id, image and gtv, one case per line. Others: docs/batch.md.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Table of cases</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Look through a folder of patients and write a table of what is found. Nothing is predicted yet.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>From a folder...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Results:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Folder that gets a folder for each case. What is done there already is not done again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Folder for the results</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>With:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cases of the batch</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The cases, what has become of them, and why. A double click opens a result.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How many cases have ended.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Progress of the batch</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Run the cases that are not done.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Interrupt the case that is running; its finished slices are kept, and Continue goes on from there.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Load images and result of the chosen case into the scene, and show them.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open result</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Write one page about all cases, with pictures and measures, and open it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show report</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>qSlicerAbstractCoreModule</name>
    <message>
        <source>Image Synthesis</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>batch.BatchCases</name>
    <message>
        <source>Unusable</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Done before</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Running</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Running elsewhere</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Failed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{seconds:.1f} s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{time}, class {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{time}, without class</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>batch.BatchPanel</name>
    <message>
        <source>{model} {version}, {samples} samples, seed {seed}, device: {device}, as on the page Predict.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stopping: what is finished is kept.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Finished, {count} failed for the reasons in the table. Continue tries them again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Continue</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Looking through the folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Writing the report</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Case</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Status</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Details</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is shown, synthetic. Its sliders and its report are on the page Predict, Results.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a table of cases, or a folder of images.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the folder for the results.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{done} of {total} done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All usable cases are done. The images are synthetic.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All cases are done. The images are synthetic.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loading {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{count} failed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{count} unusable</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stopped. Continue goes on with the cases that are not done.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stopped.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>These cases were found. Look through them, choose the folder for the results, then Start.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>batch.CaseOpener</name>
    <message>
        <source>{case} GTV</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Is it still in its place?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{case} follow-up</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The file {name} cannot be loaded.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>common.Failure</name>
    <message>
        <source>The disk or the memory of this computer is full.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Free some space, then try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Look at the log, and tell us.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Unexpected error: {error}.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>dicom.SyntheticExport</name>
    <message>
        <source>Synthetic MRI (GBM Response)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Creates a derived series that says that it is synthetic, in the study of its input</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Whole synthetic prediction (GBM Response)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Creates the images, maps, segmentation and structures of the prediction, as gbmresponse --dicom-out does</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>PythonSlicer was not found beside Slicer: install Slicer again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The series could not be written.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This is no generated volume.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{problem} In Slicer: open the Python console and type slicer.util.pip_install('highdicom').</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>inputs.InputFindings</name>
    <message>
        <source>The outline {name} consists of contours that this Slicer cannot turn into voxels: install the extension SlicerRT in the Extensions Manager and restart Slicer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The temporary folder has {free} MB free, the prediction needs about {needed} MB.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is {modality} by its DICOM tags: choose the T1-Gd MRI.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} sounds like a T1 before contrast agent (pre-contrast): choose the one with contrast (T1-Gd).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} sounds like {sequence}: choose the T1 with contrast agent (T1-Gd).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The segment {name} is empty: draw the tumor, or choose another segment.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The segment {name} lies outside the volume: are both of the same patient?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Only a part of the segment {name} lies inside the volume.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The tumor is small ({volume:.2f} ml); the prediction has little to go by.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The segment is large for a tumor ({volume:.0f} ml): is it the right one?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the T1-Gd volume before treatment: load one, or try the sample case.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The pre-treatment volume</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The volume has a parent transform. The prediction applies it on a copy; you may harden it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Slices are {distance:.1f} mm apart; sizes across slices are uncertain.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pixels of {size:.1f} mm are coarse for this model; details will be missing.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The volume was not acquired in axial slices; it is resampled to axial slices and back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the segmentation that holds the tumor (GTV).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the segment that outlines the tumor (GTV).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The follow-up is the same volume as the pre-treatment one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The follow-up volume</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This model has no survival classifier: choose a class.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This model knows no survival classes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This model was trained without label dropout: only guidance 1 is possible.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The paper's sampler cannot take {steps} steps: it needs a divisor of 1000.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The segment {name} is chosen, but {other} sounds like the tumor.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The volume {name} is gone: choose the T1-Gd volume before treatment.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The volume has a warping parent transform. The prediction resamples a copy of the volume.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The segment {name} is gone: choose the segment that outlines the tumor (GTV).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose one of the model's survival classes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Volume and segmentation are under different transforms.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use the bundled model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Load sample</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The chosen volume is itself synthetic.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Harden</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Clear</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The chosen follow-up is itself synthetic.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predict without class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Set to 1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use {steps}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the T1-Gd volume before treatment.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use labelmap {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The segmentation has no segment: draw the tumor first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the first</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Guidance above {limit} exaggerates what the class does.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} contains voxels that are not numbers.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} has no contrast: all voxels are equal.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} looks like a CT; choose the T1-Gd MRI.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is too small: choose a whole-head volume.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} sounds like an image from after treatment.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>inputs.SampleDataRegistration</name>
    <message>
        <source>GBM Response</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>inputs.SceneExporter</name>
    <message>
        <source>The tumor segment does not exist any more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Draw the tumor, or choose another segment.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no volume.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the T1-Gd volume before treatment.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose another volume.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the segment that outlines the tumor (GTV).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check that volume and segmentation belong to the same patient.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The inputs cannot be written to the temporary folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The segment {name} is empty.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The volume {name} has no voxels.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The segment {name} lies outside the volume.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Free some disk space, then press Predict again.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>inputs.SequenceHints</name>
    <message>
        <source>T1 with contrast</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>model.ModelCatalog</name>
    <message>
        <source>No model is installed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a folder that contains bundle.json.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>model.ModelDescription</name>
    <message>
        <source>none</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} ({low} to {high} months)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>About</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Intended use</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training data</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Survival classes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Classifier</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Guidance</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>License</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} (over {low} months)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} (up to {high} months)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>yes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>no: choose the class yourself</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>any</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>1 only: trained without label dropout</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Held-out figures</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{size} MB</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>panel.InputsSection</name>
    <message>
        <source>From {name}: {details}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tumor {name}: {details}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>(chosen for you: please check)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{volume:.1f} ml</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{count} slice(s)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{count} part(s)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{spacing} mm</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>panel.InstallationDialog</name>
    <message>
        <source>Log of the installation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Versions, card, memory and disk, and the log; no patient data.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Fetch and install what is listed; Slicer waits meanwhile.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install nothing; Predict asks again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>GBM Response: install Python packages</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy diagnostics</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not now</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install PyTorch extension</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Installing for {minutes}:{seconds:02d} min. Please wait.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>panel.ModelSection</name>
    <message>
        <source>Verify files</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All files of the model are as they should be.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Verifying: {percent} %</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} (not usable)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model {name} is not offered any more.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>panel.PanelFactory</name>
    <message>
        <source>Folder of a model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Save the run to</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Folder that the run was saved to</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Folder of the patients' images</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Folder for the results</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>New table of cases</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>File for the scores</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Log of scores</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Table of cases</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>panel.PredictionPanel</name>
    <message>
        <source>Predict</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predict the MRI after treatment (Ctrl+Return).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The expected image is shown. It is an average: it fades what is uncertain.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copied to the clipboard.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Draw no more samples: the expected image and the complete samples become a result.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>End the prediction; slices that are finished are kept for the next one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Samples are drawn meanwhile; Stop keeps what is there.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cancelled. {count} finished slices are kept: press Predict to continue.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stopping: the expected image and the samples that are complete become a result.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cancelling...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cancelled.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Automatic ({value})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Done in {seconds:.1f} s. The images are synthetic.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>panel.ResultSection</name>
    <message>
        <source>(volume removed)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Synthetic prediction from {name}: expected image and {count} sample(s).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open the report of this run.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The report is there until Slicer is closed; it is copied with Save.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SYNTHETIC expected image (average), preview {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Synthetic prediction from {name}, {count} sample(s).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Survival class {name} by the classifier.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Saved to the folder {name}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Survival class {name}, chosen.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>panel.RunsSection</name>
    <message>
        <source>(no other run)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The run is back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The run was deleted. Restore brings it back until the scene is closed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What differs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A: this run</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>B: the other</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>panel.ScoringSection</name>
    <message>
        <source>No log is chosen: the score is with the files of the run alone.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Score</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cancelled: nothing was scored.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Score this run against the real follow-up.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scoring: the follow-up is aligned and measured. Slicer stays usable.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} (new)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The score is in the log {name}.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>panel.SurvivalSection</name>
    <message>
        <source>No class (unconditional)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Classifier: {parts}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{count} classes</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>panel.WhatIfSection</name>
    <message>
        <source>Synthetic preview of this slice, an average: {conditions}. Not saved until it is applied.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Move a slider: the expected image of the slice in view is computed again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What-ifs are about the last run: choose it and show it side by side.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Press Side by side to see what-ifs.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This slice has no tumor: nothing is predicted here.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What if: {conditions} (preview)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Computed in {seconds:.2f} s.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A run is being scored: this slice is computed afterwards.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SYNTHETIC what-if, preview</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>day {days:.0f}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>readerStudy.ReaderStudyImages</name>
    <message>
        <source>An image of the study has fewer slices than its plan says.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>An image of the study cannot be found any more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>generated</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the column slices of the table.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open the scene of the study again, or check the table.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>readerStudy.ReaderStudyPanel</name>
    <message>
        <source>Slice {number} of {total}: how real does it look?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Runs in this scene</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Table of cases (CSV)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>One per patient and source</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All tumor slices</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{count} of {total} slices are judged; start again to continue.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Source</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Slices</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mean</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SD</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Max</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose...</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the table of cases.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>real</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a file for the scores.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All slices are judged. Thank you.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>readerStudy.ReaderStudyPlan</name>
    <message>
        <source>There are no slices to judge.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predict a case first, or choose a table of cases.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>readerStudy.ReaderStudySession</name>
    <message>
        <source>Choose another file, or the same cases, seed and mode as then.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose another file.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The file {name} holds scores of another study.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The file {name} cannot be read as scores.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>readerStudy.ReaderStudyTable</name>
    <message>
        <source>Row {number} of {name} is not valid.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It needs: {columns}; the image file must exist.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>readerStudy.ReaderStudyView</name>
    <message>
        <source>Reader study image</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>results.MeasurementsTable</name>
    <message>
        <source>{predicted}; copy of the input {copied}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{category}, indeterminate: {samples} sample(s), at least {fewest} are needed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Value</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Enhancing volume before</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Enhancing volume predicted</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Change of volume</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Area before</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Area predicted</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Size category by volume (RANO-style)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Size category by area (RANO-style)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Within measurement noise</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Overlap of the enhancement with the GTV before</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Withheld</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Overlap with the true enhancement</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Error of the volume (ml)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mean difference inside the GTV</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{change:+.0%}, within the noise of ±{noise:.0%}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Synthetic image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{mean} ({low} to {high})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Volumes and areas. {reason}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Areas. {reason}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{value:.1f} ml</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{value} ml</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{value:.0f} mm²</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{value} mm²</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>results.ResultDisplay</name>
    <message>
        <source>SD, image units</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>probability</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>change, image units</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>results.ResultImporter</name>
    <message>
        <source>without class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>prediction</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>difference</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>difference of classes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>generated slices</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>expected image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>spread</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>enhancement probability</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>registered follow-up</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SYNTHETIC</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} (chosen)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The record of the prediction cannot be read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predict again; if it stays, look at the log.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SYNTHETIC prediction {time} UTC: {classes}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SYNTHETIC measurements</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} (predicted, {chance:.0%})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predict again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The file {name} of the result cannot be read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The file {name} of the result has another grid than the input.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>sample {number}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>results.ResultManifest</name>
    <message>
        <source>Predict again; if it stays, look at the log.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The result of the prediction is incomplete.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The file {name} of the result is missing.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>results.ResultSaver</name>
    <message>
        <source>Choose another folder with enough free space; a run is saved to a folder only once.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the folder that this run was saved to.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The folder {name} does not hold this run.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The result cannot be saved to {name}.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>results.RunComparison</name>
    <message>
        <source>{name}, {class_name}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>results.ScoreTable</name>
    <message>
        <source>Measure</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Samples</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Expected</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Blurred copy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SYNTHETIC image against real follow-up</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Skill</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The follow-up was taken as it lies: it could not be aligned.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>MSE in the GTV</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>PSNR in the GTV (dB)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SSIM in the GTV</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>MSE of the slices</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>PSNR of the slices (dB)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SSIM of the slices</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Overlap of the enhancement (Dice)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Distance of its surfaces (HD95, mm)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Error of its volume (ml)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scored against {name}, in which {volume:.1f} ml enhance ({category}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>In {worse} of {count} measures a copy of the input is closer than the {who}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>samples</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>expected image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Volumes are not to be relied on here. {reason}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name}, {class_name}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>run.BatchRun</name>
    <message>
        <source>Press Continue: cases that are done are not run again, and finished slices are kept.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The process for the cases cannot be started.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A batch is running already.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Wait for its end, or stop it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install 3D Slicer again, or tell us with the log.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The process for the cases stopped unexpectedly ({reason}).</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>run.Engine</name>
    <message>
        <source>The prediction was cancelled.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>run.PredictionController</name>
    <message>
        <source>The packages are installed: press Predict again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Restart Slicer and try again; if it stays, look at the log.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Python packages are being installed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Wait for the end.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A run is being scored.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Wait for its end, or cancel it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A prediction is running already.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The inputs changed while packages were installed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Checking the installed packages</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The installed packages do not work.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The follow-up could not be aligned; it is shown as it is.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cancelling</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>run.ProgressText</name>
    <message>
        <source>Reading the scene</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Starting the prediction process</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loading the model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Preparing the slices</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Encoding the slices</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Estimating the survival class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Computing the expected image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Generating slices</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Assembling the volume</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Measuring</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Writing the results</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Registering the follow-up</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loading the results</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>about a second left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>about {minutes} min left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Generating slices, class {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>about {seconds} s left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{done} of {total} slices done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>sample {number} of {total}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>step {step} of {total}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>run.RunFolders</name>
    <message>
        <source>The temporary folder cannot be written.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Free some disk space, or choose another temporary folder in Slicer's settings.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>run.Scoring</name>
    <message>
        <source>Choose the T1-Gd volume after treatment as it was acquired.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The volume or the tumor segment that this run was predicted from is not in the scene.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add its folder in the section Model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is the image that the run was predicted from, no follow-up.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No real follow-up is chosen.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose the follow-up that it was made of.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose another volume.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Load them again, or predict again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A prediction or a score is being made.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Wait for its end, or cancel it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model that this run was predicted with is not in the list: {name}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is a synthetic image: a run is scored against a real one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is a copy that a run has aligned.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The volume {name} has no voxels.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>run.WhatIf</name>
    <message>
        <source>The prediction process has ended, and with it what it knew of this case.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Press Predict again.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>settings.Choices</name>
    <message>
        <source>Automatic: predicted if the classifier has shown skill</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Predicted by the classifier</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Chosen by me</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Compare all classes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>NVIDIA GPU (CUDA)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Apple GPU (MPS)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Processor (CPU)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Instant: the expected image alone</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Balanced: expected image and {count} samples</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Paper: DDIM with 200 steps, {count} sample, whole slices</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>settings.PredictionSettings</name>
    <message>
        <source>{value} is no choice for {name}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give 0 or more, or None for what the model recommends.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no preset {value} any more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose one of: {known}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The guidance cannot be {value}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no setting {name}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give {known}, and steps=5.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Settings are: {names}.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>views.ResultViews</name>
    <message>
        <source>Before</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Expected (average)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sample {number} of {count}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>True follow-up, aligned</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>True follow-up</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{last} minus {first}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>views.SyntheticMark</name>
    <message>
        <source>MAY BE SYNTHETIC</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SYNTHETIC - research use only</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>views.ViewContent</name>
    <message>
        <source>Difference</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Spread</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Enhancement</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>worker.DependencyInstaller</name>
    <message>
        <source>Restart Slicer, then press Predict again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install the extension PyTorch in the Extensions Manager, restart Slicer, and press Predict again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>GBMResponse needs Python packages that are not installed yet:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} {version} is installed, {requirement} is needed: nothing that is installed is replaced.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The disk has {free:.1f} GB free; at least {least:.1f} GB are needed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Press Predict again to install them, or see the offline recipe in the documentation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>PyTorch: about 0.8 GB on disk without a graphics card, several GB with one; some minutes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The folder is too long for Windows: install Slicer in a shorter one, or allow long paths.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install them now?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Another installation of Python packages is running.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Wait for its end.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The Python packages were not installed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>PyTorch is there by half: what is left of it is removed first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The extension PyTorch, which installs PyTorch, comes first; then Slicer has to be restarted.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The Python packages could not be installed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the internet connection and the log, or see the offline recipe in the documentation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Read the log; restart Slicer and press Predict again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The extension PyTorch was installed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Into: {folder}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Proxy: {proxy}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Still not installed: {names}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The extension PyTorch could not be installed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Graphics card: {card}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Free disk space: {free:.1f} GB</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>none</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>PyTorch was not installed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>none found</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>worker.WorkerClient</name>
    <message>
        <source>The prediction process does not answer as it should.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Restart Slicer; if it stays, install GBMResponse again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A prediction is running already.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Wait for its end, or cancel it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The prediction process cannot be started.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install 3D Slicer again, or tell us with the log below.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Press Predict again: slices that were finished are not computed again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The prediction process stopped unexpectedly ({reason}).</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>worker.WorkerProcess</name>
    <message>
        <source>it crashed or was ended from outside</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>exit code {code}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
</TS>
