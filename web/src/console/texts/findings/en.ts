// What the doctor finds, in English: what it is, what viewers notice, what to change.

import type { Findings } from './findings.ts';

export const findings: Findings = {
  'b-frames': {
    title: {
      by: 'mending',
      forms: {
        here: 'Your video uses B-frames, and is re-encoded here',
        other: 'Your video uses B-frames',
      },
    },
    detail: {
      by: 'mending',
      forms: {
        here: 'This server re-encodes your picture, so that viewers can watch in the fastest way, WebRTC, which cannot carry B-frames. It costs about {delay_ms} ms of delay, some quality, and much of the server’s processor.',
        busy: 'Viewers cannot watch in the fastest way, WebRTC, which cannot carry B-frames: they get another version that is a second or more behind you. This server cannot re-encode it: it re-encodes as many broadcasts as it may already.',
        fails:
          'Viewers cannot watch in the fastest way, WebRTC, which cannot carry B-frames: they get another version that is a second or more behind you. This server cannot re-encode it: its re-encoder fails.',
        slow: 'Viewers cannot watch in the fastest way, WebRTC, which cannot carry B-frames: they get another version that is a second or more behind you. This server cannot re-encode it: it is too slow for that.',
        other:
          'Viewers cannot watch in the fastest way, WebRTC, which cannot carry B-frames: they get another version that is a second or more behind you.',
      },
    },
    remedy:
      'In OBS: Settings › Output, set Output Mode to Advanced, and B-Frames to 0; with the x264 encoder, which does not show that, set Tune to zerolatency. Then stop and start streaming. In ffmpeg: -bf 0.',
  },
  'keyframes-far': {
    title: 'Your keyframes come only every {seconds} seconds',
    detail:
      'Viewers wait longer for the first picture when they join or go back, and when a piece of the picture is lost on the way, it stays broken for up to as long.',
    remedy:
      'In OBS: Settings › Output, set Output Mode to Advanced, and Keyframe Interval to 2 s. Then stop and start streaming. In ffmpeg, at 30 frames a second: -g 60.',
  },
  'keyframes-irregular': {
    title: 'Your keyframes come unevenly, every {shortest_seconds} to {longest_seconds} seconds',
    detail:
      'Each extra keyframe is a lump of data that makes the picture stutter on slow connections. Viewers who watch over HTTP may see the comments late.',
    remedy:
      'In OBS: Settings › Output, set Output Mode to Advanced, and Keyframe Interval to 2 s; with the x264 encoder write scenecut=0 into x264 Options. Then stop and start streaming. In ffmpeg, at 30 frames a second: -g 60 -sc_threshold 0.',
  },
  'frame-rate-drop': {
    title: 'Your video has dropped from {usual_fps} to {fps} frames a second',
    detail: 'Viewers see the picture stutter; what you say goes on.',
    remedy:
      'Your computer has too much to do. Close other programs. In OBS: look at View › Stats; under Settings › Video choose a smaller Output (Scaled) Resolution or 30 FPS, and under Settings › Output a hardware encoder or, with x264, the CPU Usage Preset ultrafast. In ffmpeg: -preset ultrafast or a smaller -s.',
  },
  'bitrate-drop': {
    title: 'Your video has dropped from {usual_kbps} to {kbps} kbit/s',
    detail: 'Viewers see a blurred or blocky picture; small writing cannot be read.',
    remedy:
      'Your connection to the internet has become too slow for what you send. Use a cable instead of Wi-Fi, and stop other uploads. In OBS: set a Bitrate under Settings › Output that your connection carries all the time. In ffmpeg: a smaller -b:v and -maxrate.',
  },
  'video-missing': {
    title: 'There is no picture, only sound',
    detail: 'Viewers hear you and see nothing.',
    remedy:
      'If you meant to send a picture: in OBS, see whether the preview shows one, then stop and start streaming. In ffmpeg: give it a video input, and no -vn.',
  },
  'video-stopped': {
    title: 'The picture has stopped',
    detail: 'Viewers hear you and see a picture that stands still, or the player waits.',
    remedy:
      'In OBS: see whether the preview still moves, then stop and start streaming; if it comes back, choose another Video Encoder under Settings › Output. In ffmpeg: look at what it says about its video input.',
  },
  'audio-missing': {
    title: 'There is no sound, only a picture',
    detail: 'Viewers see you and hear nothing.',
    remedy:
      'In OBS: choose your microphone under Settings › Audio as Mic/Auxiliary Audio. In ffmpeg: give it an audio input and -c:a aac, and no -an.',
  },
  'audio-stopped': {
    title: 'The sound has stopped',
    detail: 'Viewers see you and hear nothing any more, or the player waits.',
    remedy:
      'In OBS: see whether your microphone is still plugged in and its bar in the Audio Mixer moves, then stop and start streaming. In ffmpeg: look at what it says about its audio input.',
  },
  'nothing-arrives': {
    title: 'Nothing arrives from your encoder',
    detail: 'The picture stands still and there is no sound.',
    remedy:
      'Look at your connection to the internet. In OBS: if the square at the bottom of the window is red, stop and start streaming. In ffmpeg: see whether it still counts frames, and start it again.',
  },
  'audio-silent': {
    title: 'Your sound is silent',
    detail: 'Viewers hear nothing at all, not even the room.',
    remedy:
      'See whether your microphone is switched on. In OBS: in the Audio Mixer its bar must move when you speak, and the loudspeaker beside it must not be red (muted); choose the right microphone under Settings › Audio. In ffmpeg: look at the audio input.',
  },
  'audio-clipping': {
    title: 'Your sound is too loud and distorts',
    detail: 'Viewers hear crackling and a harsh voice.',
    remedy:
      'Turn the microphone down where it comes into the computer (the gain at the microphone or mixer, or the volume in the system’s settings). In OBS: draw the slider in the Audio Mixer to the left until the bar no longer reaches the red when you speak. In ffmpeg: -af volume=-10dB, if the sound is not distorted before that.',
  },
  'audio-drift': {
    title: 'The clock of your sound is off by {percent} %',
    detail:
      'Viewers hear small gaps or cuts in the sound again and again, and lips and voice part for moments.',
    remedy:
      'Set the same sample rate everywhere, best 48 kHz: in the system’s settings of the microphone and, in OBS, under Settings › Audio; then stop and start streaming. In ffmpeg: -af aresample=async=1000, and no filter that changes the times of the sound alone.',
  },
  'av-apart': {
    title: {
      by: 'late',
      forms: {
        sound: 'Your sound arrives {seconds} s late',
        picture: 'Your picture arrives {seconds} s late',
        other: 'Your sound and picture arrive {seconds} s apart',
      },
    },
    detail:
      'The player waits for it, so viewers are that much further behind you, or lips and voice do not match.',
    remedy:
      'In OBS: set Sync Offset to 0 under Edit › Advanced Audio Properties, and the same sample rate, best 48 kHz, for the microphone and under Settings › Audio; then stop and start streaming. In ffmpeg: no -itsoffset, and -thread_queue_size 512 before each live input.',
  },
  'clock-jump': {
    title: {
      by: 'jumps',
      forms: {
        one: 'Your encoder’s clock has jumped',
        other: 'Your encoder’s clock has jumped {jumps} times',
      },
    },
    detail:
      'Viewers saw the picture stop for a moment or something cut out, and lips and voice may not match since.',
    remedy:
      'In OBS: stop and start streaming; if it comes back, close OBS and open it again. In ffmpeg: encode what you pass on (not -c copy) if it is a file that begins anew or somebody else’s stream, or put -fflags +genpts before the input.',
  },
  'arrival-jitter': {
    title: 'Your stream arrives in bursts, up to {seconds} s late',
    detail:
      'Viewers see the picture stop and then hurry; players go further behind live to be safe from it.',
    remedy:
      'Use a cable instead of Wi-Fi, and stop other uploads. In OBS: set a lower Bitrate under Settings › Output, and tick Dynamically change bitrate to manage congestion under Settings › Advanced. In ffmpeg: -maxrate equal to -b:v, and a -bufsize of half of that.',
  },
  'encoder-slow': {
    title: 'Your stream falls further and further behind',
    detail: 'Viewers see you later and later, and every now and then the picture jumps.',
    remedy:
      'Your computer or your connection to the internet is too slow for what you send. In OBS: look at View › Stats. If frames are lost to encoding, choose a hardware encoder or, with x264, the CPU Usage Preset ultrafast under Settings › Output; if to the network, set a lower Bitrate there, and use a cable instead of Wi-Fi. In ffmpeg: -preset ultrafast, or a smaller -s and -b:v, until it says speed=1x.',
  },
  'encoder-fast': {
    title: 'Your stream runs faster than time',
    detail:
      'Viewers see the picture stutter, and the connection is closed when it is too far ahead.',
    remedy:
      'In OBS: stop and start streaming; if it comes back, set the same sample rate, best 48 kHz, for the microphone and under Settings › Audio. In ffmpeg: put -re before the input if it is a file.',
  },
  'video-profile': {
    title: 'Your video’s H.264 profile, {profile}, cannot be played everywhere',
    detail:
      'Most viewers hear you and see nothing: browsers and phones play the profiles Baseline, Main and High only.',
    remedy:
      'In OBS: Settings › Output, set Output Mode to Advanced, and Profile to high; and Settings › Advanced, set Color Format to NV12. Then stop and start streaming. In ffmpeg: -pix_fmt yuv420p -profile:v high.',
  },
  'video-interlaced': {
    title: 'Your video is interlaced',
    detail:
      'Some viewers see combs at the edges of whatever moves, others no picture at all: browsers and phones are made for whole pictures.',
    remedy:
      'Set the camera or capture device to a progressive format, such as 1080p instead of 1080i. In OBS: right-click the source, Deinterlacing › Yadif. In ffmpeg: -vf yadif, and no -flags +ilme+ildct. In a hardware encoder: set it to progressive.',
  },
  'video-beyond-phones': {
    title: {
      by: 'width',
      forms: {
        none: 'Your video, at {fps} frames a second, is faster than phones can play',
        other: 'Your picture, {width}x{height}, is larger than phones can play',
      },
    },
    detail: 'Phones and older computers may stutter, grow hot, or show no picture.',
    remedy:
      'In OBS: Settings › Video, set Output (Scaled) Resolution to 1920x1080 or less, and Common FPS Values to 30 or 60. In ffmpeg: -s 1920x1080 -r 30.',
  },
  'audio-he-aac': {
    title: 'Your sound is coded as {profile}',
    detail:
      'Viewers over WebRTC hear it dull, as through a wall, since only its lower half can be carried there.',
    remedy:
      'Set the encoder’s audio to AAC-LC, often called just AAC, at 96 kbit/s or more. In OBS: Settings › Output, set Output Mode to Advanced, and on the tab Audio the bitrate to 128 or more. In ffmpeg: -c:a aac -b:a 128k, without -profile:a.',
  },
  'audio-surround': {
    title: 'Your sound has {channels} channels, which cannot be carried',
    detail: 'Viewers see you and hear nothing.',
    remedy:
      'In OBS: Settings › Audio, set Channels to Stereo. Then stop and start streaming. In ffmpeg: -ac 2.',
  },
  'video-refused': {
    title: {
      by: 'codec',
      forms: {
        'H.264': 'Your H.264 video cannot be used as it is',
        other: 'Your encoder sends {codec}, not H.264',
      },
    },
    detail: 'Viewers see and hear nothing: the stream was not accepted.',
    remedy:
      'In OBS: Settings › Output, set Output Mode to Advanced, and Video Encoder to one with H.264 in its name, or x264. In ffmpeg: -c:v libx264.',
  },
  'audio-refused': {
    title: 'Your encoder sends {codec}, not AAC-LC',
    detail: 'Viewers see and hear nothing: the stream was not accepted.',
    remedy:
      'In OBS: Settings › Output, set Output Mode to Advanced, and Audio Encoder to AAC. In ffmpeg: -c:a aac -ac 2.',
  },
  'encoder-refused': {
    title: 'Your encoder sends in a way that is not understood here',
    detail: 'Viewers see and hear nothing: the stream was not accepted.',
    remedy:
      'Choose plain RTMP with H.264 and AAC, one picture and one sound. In OBS: under Settings › Stream set Service to Custom and untick Enable Multitrack Video, and choose one Audio Track under Settings › Output. In ffmpeg: -f flv, and -map one video and one audio stream.',
  },
};
